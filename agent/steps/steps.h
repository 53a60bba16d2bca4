#pragma once
/*
 * The table of step types: a new type is one word here.
 */
struct step_type;

/** All types in the order of the manual, NULL at the end. */
extern const struct step_type *const steps_all[];

extern const struct step_type step_python, step_file, step_run, step_check;
extern const struct step_type step_packages, step_nvidia;
extern const struct step_type step_user, step_service, step_system, step_cert, step_jupyter, step_reboot;
extern const struct step_type step_download;
extern const struct step_type step_volume;
extern const struct step_type step_repo;
extern const struct step_type step_r;
extern const struct step_type step_conda;
extern const struct step_type step_sync;

#include "steps/steps.h"

#include "recipe/step.h"

const struct step_type *const steps_all[] = {
	&step_packages, &step_python, &step_nvidia,  &step_download, &step_conda,  &step_file,
	&step_run,	&step_check,  &step_user,    &step_service,  &step_volume, &step_system,
	&step_cert,	&step_reboot, &step_jupyter, NULL,
};

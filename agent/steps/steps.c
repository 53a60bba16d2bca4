#include "steps/steps.h"

#include "recipe/step.h"

const struct step_type *const steps_all[] = {
	&step_packages, &step_python, &step_nvidia,  &step_sync,   &step_download, &step_repo,	  &step_r,
	&step_conda,	&step_file,   &step_run,     &step_check,  &step_user,	   &step_service, &step_system,
	&step_cert,	&step_volume, &step_jupyter, &step_reboot, NULL,
};

# Two boxes: a CPU box for every day, from Amazon's own image, and a GPU box on the spot market, from an image that
# ../packer has made. dsagent userdata … > daily.user-data makes the first one's user-data; the second one's is a recipe.
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40"
    }
  }
}

variable "subnet_id" {
  description = "Subnet of both boxes; nothing needs to come in, both can be reached by SSM Session Manager"
  type        = string
}

variable "agent_bucket" {
  description = "Bucket that the user-data fetches dsagent from, s3://BUCKET/dsagent/dsagent-{arch}"
  type        = string
}

variable "data_bucket" {
  description = "Bucket of the data"
  type        = string
}

variable "daily_user_data" {
  description = "File that dsagent userdata has written"
  type        = string
  default     = "daily.user-data"
}

variable "gpu_ami_id" {
  description = "Image with dsagent and an NVIDIA driver"
  type        = string
}

data "aws_ssm_parameter" "al2023" {
  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
}

module "daily" {
  source        = "./box"
  name          = "daily"
  ami_id        = nonsensitive(data.aws_ssm_parameter.al2023.value)
  instance_type = "m7i.xlarge"
  subnet_id     = var.subnet_id
  user_data     = file("${path.root}/${var.daily_user_data}")
  read          = { bucket = var.agent_bucket, prefix = "dsagent" }
  write         = { bucket = var.data_bucket, prefix = "daily" }
}

module "gpu" {
  source        = "./box"
  name          = "gpu"
  ami_id        = var.gpu_ami_id
  instance_type = "g5.xlarge"
  is_spot       = true
  volume_gib    = 200
  subnet_id     = var.subnet_id
  user_data     = file("${path.module}/gpu.yaml")
  write         = { bucket = var.data_bucket, prefix = "training" }
}

output "instance_ids" {
  value = { daily = module.daily.instance_id, gpu = module.gpu.instance_id }
}

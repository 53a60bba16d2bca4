# An image that has dsagent and what a recipe says, and becomes a box of its own at the first boot of every instance:
#   packer init . && packer build -var package=../../build/dist/dsagent-0.1.0-1.x86_64.rpm -var recipe=team.yaml .
packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.0"
    }
  }
}

variable "package" {
  description = "The RPM for Amazon Linux, the DEB for Ubuntu and Debian"
  type        = string
}

variable "recipe" {
  description = "What is installed now, and looked at again at every boot"
  type        = string
}

variable "region" {
  type    = string
  default = "us-east-1"
}

variable "instance_type" {
  type    = string
  default = "m7i.large"
}

variable "source_ami" {
  description = "Name of the image to begin with; of the newest one that fits"
  type        = string
  default     = "al2023-ami-2023.*-x86_64"
}

variable "source_owner" {
  type    = string
  default = "amazon"
}

variable "ssh_username" {
  description = "ec2-user on Amazon Linux, ubuntu on Ubuntu"
  type        = string
  default     = "ec2-user"
}

variable "root_device" {
  description = "/dev/xvda on Amazon Linux, /dev/sda1 on Ubuntu"
  type        = string
  default     = "/dev/xvda"
}

variable "volume_gib" {
  type    = number
  default = 40
}

source "amazon-ebs" "box" {
  ami_name      = "dsagent-${formatdate("YYYYMMDD-hhmmss", timestamp())}"
  region        = var.region
  instance_type = var.instance_type
  ssh_username  = var.ssh_username
  imds_support  = "v2.0"

  source_ami_filter {
    filters = {
      name                = var.source_ami
      virtualization-type = "hvm"
      root-device-type    = "ebs"
    }
    owners      = [var.source_owner]
    most_recent = true
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  launch_block_device_mappings {
    device_name           = var.root_device
    volume_type           = "gp3"
    volume_size           = var.volume_gib
    encrypted             = true
    delete_on_termination = true
  }
}

build {
  sources = ["source.amazon-ebs.box"]

  provisioner "file" {
    source      = var.package
    destination = "/tmp/${basename(var.package)}"
  }

  provisioner "file" {
    source      = var.recipe
    destination = "/tmp/recipe.yaml"
  }

  provisioner "shell" {
    script           = "${path.root}/bake.sh"
    environment_vars = ["PACKAGE=/tmp/${basename(var.package)}", "RECIPE=/tmp/recipe.yaml"]
    execute_command  = "sudo env {{ .Vars }} sh {{ .Path }}"
  }
}

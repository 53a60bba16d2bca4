# One box: its role, its instance profile, the instance. The policies are those of ../../iam.
variable "name" {
  type = string
}

variable "ami_id" {
  type = string
}

variable "instance_type" {
  type = string
}

variable "subnet_id" {
  type = string
}

variable "user_data" {
  description = "Of dsagent userdata, or a recipe whose first line is #!/usr/bin/dsagent boot"
  type        = string
}

variable "volume_gib" {
  type    = number
  default = 40
}

variable "is_spot" {
  description = "A persistent request, stopped and not terminated when the capacity is wanted back"
  type        = bool
  default     = false
}

variable "read" {
  description = "What the box may read"
  type        = object({ bucket = string, prefix = string })
  default     = null
}

variable "write" {
  description = "What the box may read and write"
  type        = object({ bucket = string, prefix = string })
  default     = null
}

locals {
  iam = "${path.module}/../../iam"
  policies = merge(
    {
      tag-self  = file("${local.iam}/tag-self.json")
      stop-self = file("${local.iam}/stop-self.json")
    },
    var.read == null ? {} : {
      s3-read = replace(replace(file("${local.iam}/s3-read.json"), "BUCKET", var.read.bucket), "PREFIX", var.read.prefix)
    },
    var.write == null ? {} : {
      s3-read-write = replace(replace(file("${local.iam}/s3-read-write.json"), "BUCKET", var.write.bucket), "PREFIX", var.write.prefix)
    },
  )
}

resource "aws_iam_role" "box" {
  name_prefix = "dsagent-${var.name}-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "box" {
  for_each = local.policies
  name     = each.key
  role     = aws_iam_role.box.id
  policy   = each.value
}

resource "aws_iam_role_policy_attachment" "session_manager" {
  role       = aws_iam_role.box.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "box" {
  name_prefix = "dsagent-${var.name}-"
  role        = aws_iam_role.box.name
}

resource "aws_instance" "box" {
  ami                  = var.ami_id
  instance_type        = var.instance_type
  subnet_id            = var.subnet_id
  iam_instance_profile = aws_iam_instance_profile.box.name
  user_data            = var.user_data
  tags                 = { Name = "dsagent-${var.name}" }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = var.volume_gib
    encrypted   = true
  }

  dynamic "instance_market_options" {
    for_each = var.is_spot ? [1] : []
    content {
      market_type = "spot"
      spot_options {
        spot_instance_type             = "persistent"
        instance_interruption_behavior = "stop"
      }
    }
  }

  lifecycle {
    # dsagent's own tags, and a newer image, are no reason to replace or change it.
    ignore_changes = [ami, tags["dsagent:status"], tags["dsagent:progress"], tags["dsagent:error"], tags["dsagent:recipe"],
      tags["dsagent:gpu"], tags["dsagent:updated-at"], tags["dsagent:ready-at"], tags["dsagent:version"], tags["dsagent:bundle"],
    ]
  }
}

output "instance_id" {
  value = aws_instance.box.id
}

# Three regions on AWS: `terraform init && terraform apply -var-file=production.tfvars`. Two steps, since the balancers of the second
# are made by Kubernetes: `traffic` stays empty in the first.

terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }
  # Who plans beside somebody else waits; state is encrypted and versioned. Give bucket and key_arn with -backend-config.
  backend "s3" {
    key          = "orrery/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

variable "name" {
  description = "Prefix of every name."
  type        = string
  default     = "orrery"
}

variable "account" {
  description = "Number of the account."
  type        = string
}

variable "prefix" {
  description = "Where the dataset is in its bucket."
  type        = string
  default     = "orrery"
}

variable "maintenance_role_arn" {
  description = "Who runs scrub and restore by hand."
  type        = string
}

variable "api_cidrs" {
  description = "Networks from which the clusters' API may be asked."
  type        = list(string)
  default     = []
}

variable "traffic" {
  description = "The readers' name, once balancers are there; null before."
  type = object({
    zone_id = string
    name    = string
    regions = map(object({ balancer = string, balancer_zone = string, host = string }))
  })
  default = null
}

provider "aws" {
  region = "us-east-1"
  default_tags {
    tags = { project = var.name }
  }
}

provider "aws" {
  alias  = "us_west_2"
  region = "us-west-2"
  default_tags {
    tags = { project = var.name }
  }
}

provider "aws" {
  alias  = "eu_west_1"
  region = "eu-west-1"
  default_tags {
    tags = { project = var.name }
  }
}

module "plan" {
  source = "../modules/plan"
  name   = var.name
  regions = {
    us-east-1 = { cidr = "10.10.0.0/16", zones = ["us-east-1a", "us-east-1b", "us-east-1c"], priority = 1 }
    us-west-2 = { cidr = "10.20.0.0/16", zones = ["us-west-2a", "us-west-2b", "us-west-2c"], priority = 2 }
    eu-west-1 = { cidr = "10.30.0.0/16", zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"], priority = 3 }
  }
}

locals {
  seccomp = file("${path.module}/../../security/seccomp.json")
}

module "traffic" {
  count   = var.traffic == null ? 0 : 1
  source  = "../modules/aws-traffic"
  zone_id = var.traffic.zone_id
  name    = var.traffic.name
  regions = var.traffic.regions
}

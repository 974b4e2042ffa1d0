# A region on Google Cloud beside those on AWS, or alone.

terraform {
  required_version = ">= 1.9"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.0"
    }
  }
  # Give bucket with -backend-config.
  backend "gcs" {
    prefix = "orrery"
  }
}

variable "project" {
  description = "Identity of the project."
  type        = string
}

variable "region" {
  description = "Name of the region."
  type        = string
  default     = "europe-west4"
}

variable "api_cidrs" {
  description = "Networks from which the cluster's API may be asked."
  type        = list(string)
  default     = []
}

provider "google" {
  project = var.project
  region  = var.region
}

module "region" {
  source        = "../modules/gcp-region"
  project       = var.project
  region        = var.region
  name          = "orrery"
  cidr          = "10.40.0.0/18"
  pods_cidr     = "10.40.64.0/18"
  services_cidr = "10.40.128.0/20"
  control_cidr  = "10.40.192.0/28"
  api_cidrs     = var.api_cidrs
  prefix        = "orrery"
}

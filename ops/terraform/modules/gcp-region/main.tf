# A region on Google Cloud: network, cluster, bucket, keys and identities. The program's `gs://` is untested (README, "Keep a
# dataset"): no server that honours its preconditions was at hand. Its self-test refuses a bucket that does not.

terraform {
  required_version = ">= 1.9"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.0"
    }
  }
}

variable "project" {
  description = "Identity of the project."
  type        = string
}

variable "region" {
  description = "Name of the region, as europe-west4."
  type        = string
}

variable "name" {
  description = "Prefix of every name."
  type        = string
}

variable "cidr" {
  description = "Network of the machines, a /18."
  type        = string
}

variable "pods_cidr" {
  description = "Network of the pods."
  type        = string
}

variable "services_cidr" {
  description = "Network of the services."
  type        = string
}

variable "control_cidr" {
  description = "Network of the cluster's own machines, a /28."
  type        = string
}

variable "api_cidrs" {
  description = "Networks from which the cluster's API may be asked."
  type        = list(string)
  default     = []
}

variable "prefix" {
  description = "Where the dataset is in its bucket."
  type        = string
}

variable "namespace" {
  description = "Namespace of the service accounts."
  type        = string
  default     = "orrery"
}

locals {
  cluster = "${var.name}-${var.region}"
  # Those that touch the bucket, and whether they write.
  identities = { coordinator = true, sink = true, gateway = false }
  objects    = "projects/_/buckets/${google_storage_bucket.dataset.name}/objects/${var.prefix}/"
}

resource "google_compute_network" "this" {
  # checkov:skip=CKV2_GCP_18:a network that is not the default one begins without rules, and the cluster makes its own
  project                 = var.project
  name                    = local.cluster
  auto_create_subnetworks = false
}

resource "google_compute_subnetwork" "this" {
  project                  = var.project
  name                     = local.cluster
  region                   = var.region
  network                  = google_compute_network.this.id
  ip_cidr_range            = var.cidr
  private_ip_google_access = true
  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = var.pods_cidr
  }
  secondary_ip_range {
    range_name    = "services"
    ip_cidr_range = var.services_cidr
  }
  log_config {
    aggregation_interval = "INTERVAL_5_MIN"
    flow_sampling        = 0.5
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_router" "this" {
  project = var.project
  name    = local.cluster
  region  = var.region
  network = google_compute_network.this.id
}

resource "google_compute_router_nat" "this" {
  project                            = var.project
  name                               = local.cluster
  region                             = var.region
  router                             = google_compute_router.this.name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"
}

resource "google_kms_key_ring" "this" {
  project  = var.project
  name     = local.cluster
  location = var.region
}

resource "google_kms_crypto_key" "dataset" {
  name            = "dataset"
  key_ring        = google_kms_key_ring.this.id
  rotation_period = "7776000s"
  lifecycle {
    prevent_destroy = true
  }
}

resource "google_storage_bucket" "dataset" {
  # checkov:skip=CKV_GCP_62:data access logs of the project tell who wrote; access logs would be a second bucket of the same
  project                     = var.project
  name                        = "${var.name}-dataset-${var.region}"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  versioning {
    enabled = true
  }
  encryption {
    default_kms_key_name = google_kms_crypto_key.dataset.id
  }
  dynamic "lifecycle_rule" {
    for_each = { NEARLINE = 30, COLDLINE = 180 }
    content {
      action {
        type          = "SetStorageClass"
        storage_class = lifecycle_rule.key
      }
      condition {
        age            = lifecycle_rule.value
        matches_prefix = ["${var.prefix}/token_transfers/data/", "${var.prefix}/ledgers/data/"]
      }
    }
  }
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      with_state                 = "ARCHIVED"
      days_since_noncurrent_time = 90
    }
  }
}

resource "google_container_cluster" "this" {
  # checkov:skip=CKV_GCP_12:the data path of this cluster (ADVANCED_DATAPATH) enforces network policies by itself
  # checkov:skip=CKV_GCP_69:the node pools say so; the default one is removed
  # checkov:skip=CKV_GCP_65:groups of RBAC are those of the organisation, which not every one has
  # checkov:skip=CKV_GCP_66:images are verified by signature before they are released (ops/security/README.md)
  project                     = var.project
  name                        = local.cluster
  location                    = var.region
  network                     = google_compute_network.this.id
  subnetwork                  = google_compute_subnetwork.this.id
  remove_default_node_pool    = true
  initial_node_count          = 1
  datapath_provider           = "ADVANCED_DATAPATH"
  enable_shielded_nodes       = true
  enable_intranode_visibility = true
  deletion_protection         = true
  resource_labels             = { project = var.name }
  release_channel {
    channel = "STABLE"
  }
  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }
  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = length(var.api_cidrs) == 0
    master_ipv4_cidr_block  = var.control_cidr
  }
  master_authorized_networks_config {
    dynamic "cidr_blocks" {
      for_each = var.api_cidrs
      content {
        cidr_block = cidr_blocks.value
      }
    }
  }
  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }
  workload_identity_config {
    workload_pool = "${var.project}.svc.id.goog"
  }
  secret_manager_config {
    enabled = true
  }
}

resource "google_container_node_pool" "this" {
  for_each = {
    serving = { machine_type = "t2a-standard-2", min = 1, max = 2, spot = false }
    work    = { machine_type = "t2a-standard-2", min = 1, max = 3, spot = true }
  }
  project  = var.project
  name     = each.key
  cluster  = google_container_cluster.this.id
  location = var.region
  # For each of three zones.
  autoscaling {
    min_node_count = each.value.min
    max_node_count = each.value.max
  }
  management {
    auto_repair  = true
    auto_upgrade = true
  }
  node_config {
    machine_type = each.value.machine_type
    spot         = each.value.spot
    disk_size_gb = 40
    labels       = { "orrery-machines" = each.key }
    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }
    workload_metadata_config {
      mode = "GKE_METADATA"
    }
  }
}

resource "google_service_account" "node" {
  for_each     = local.identities
  project      = var.project
  account_id   = substr("${var.name}-${each.key}-${md5(var.region)}", 0, 28)
  display_name = "Nodes of role ${each.key} in ${var.region}"
}

resource "google_service_account_iam_member" "node" {
  for_each           = local.identities
  service_account_id = google_service_account.node[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project}.svc.id.goog[${var.namespace}/orrery-${each.key}]"
}

resource "google_storage_bucket_iam_member" "read" {
  for_each = local.identities
  bucket   = google_storage_bucket.dataset.name
  role     = "roles/storage.objectViewer"
  member   = google_service_account.node[each.key].member
}

# To replace an object one needs leave to delete it, which this is not: put-if-absent is all that a writer can.
resource "google_storage_bucket_iam_member" "write" {
  for_each = { for role, writes in local.identities : role => writes if writes }
  bucket   = google_storage_bucket.dataset.name
  role     = "roles/storage.objectCreator"
  member   = google_service_account.node[each.key].member
}

# But for the hint beside a log, which each checkpoint writes anew.
resource "google_storage_bucket_iam_member" "hint" {
  for_each = { for role, writes in local.identities : role => writes if writes }
  bucket   = google_storage_bucket.dataset.name
  role     = "roles/storage.objectUser"
  member   = google_service_account.node[each.key].member
  condition {
    title      = "hint"
    expression = "resource.name.startsWith('${local.objects}') && resource.name.endsWith('/_delta_log/_last_checkpoint')"
  }
}

output "bucket" {
  description = "Name of the bucket with the dataset."
  value       = google_storage_bucket.dataset.name
}

output "service_accounts" {
  description = "By role: annotate ours with iam.gke.io/gcp-service-account."
  value       = { for role, account in google_service_account.node : role => account.email }
}

# What three regions are called, which addresses they have and who gets traffic: no provider, so that it can be tested.

terraform {
  required_version = ">= 1.9"
}

variable "name" {
  description = "Prefix of every name: 1 to 20 of a-z, 0-9 and -."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.name))
    error_message = "name: give 1 to 20 of a-z, 0-9 and -, a letter first: it becomes part of bucket names."
  }
}

variable "regions" {
  description = "Regions by name: the network of each, a /16, its zones, and its place in failover (1 is first)."
  type = map(object({
    cidr     = string
    zones    = list(string)
    priority = number
  }))
  validation {
    condition     = length(var.regions) >= 2
    error_message = "regions: give two at least; one alone has nowhere to fail over to."
  }
  validation {
    condition     = alltrue([for region in values(var.regions) : can(regex("/16$", region.cidr)) && length(region.zones) == 3])
    error_message = "regions: give each a /16 and three zones."
  }
  validation {
    condition     = length(distinct([for region in values(var.regions) : cidrsubnet(region.cidr, 0, 0)])) == length(var.regions)
    error_message = "regions: two have the same network; their nodes could not be told apart."
  }
  validation {
    condition     = length(distinct([for region in values(var.regions) : region.priority])) == length(var.regions)
    error_message = "regions: two have the same priority; give each its own."
  }
}

locals {
  ordered = [for pair in sort([for name, region in var.regions : format("%04d %s", region.priority, name)]) : split(" ", pair)[1]]
  # The copy of a region's bucket is in the one that takes over from it.
  next = { for place, name in local.ordered : name => local.ordered[(place + 1) % length(local.ordered)] }

  regions = {
    for name, region in var.regions : name => {
      cluster = "${var.name}-${name}"
      cidr    = region.cidr
      # Pods and machines in a /18 for each zone; balancers in a /24 for each, behind those.
      private = { for place, zone in region.zones : zone => cidrsubnet(region.cidr, 2, place) }
      public  = { for place, zone in region.zones : zone => cidrsubnet(region.cidr, 8, 192 + place) }
      peers   = sort([for other in keys(var.regions) : other if other != name])
      # Where other regions' gateways are, for network policies and security groups.
      peer_cidrs = [for other in sort(keys(var.regions)) : var.regions[other].cidr if other != name]
      bucket     = "${var.name}-dataset-${name}"
      copy       = "${var.name}-copy-of-${name}"
      copy_in    = local.next[name]
      roles      = { for role in ["coordinator", "fetcher", "processor", "sink", "gateway"] : role => "${var.name}-${name}-${role}" }
      priority   = region.priority
    }
  }
}

output "regions" {
  description = "Names, networks and peers of each region."
  value       = local.regions
}

output "order" {
  description = "Regions as they take over from each other."
  value       = local.ordered
}

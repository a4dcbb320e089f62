# A fleet on OpenStack: an origin and two edges. Other clouds differ in the resources below only.

terraform {
  required_providers {
    openstack = {
      source  = "terraform-provider-openstack/openstack"
      version = "~> 3.0"
    }
  }
}

variable "package_url" { type = string }
variable "package_sha256" { type = string }
variable "operators" { type = list(string) }
variable "network" { type = string }

locals {
  nodes = {
    origin-1 = { role = "origin", address = "10.0.0.10", flavor = "c4-m8" }
    edge-1   = { role = "edge", address = "10.0.0.21", flavor = "c8-m16" }
    edge-2   = { role = "edge", address = "10.0.0.22", flavor = "c8-m16" }
  }
  # Made by deploy/relay-ca.sh; the authority's own key stays on the operator's machine.
  folder = "${path.root}/var/relay-ca"
}

module "fleet" {
  source = "../.."

  nodes            = { for name, node in local.nodes : name => { role = node.role, address = node.address } }
  relay_ca         = file("${local.folder}/relay-ca.pem")
  http_certificate = file("${path.root}/var/http/http.pem")
  http_key         = file("${path.root}/var/http/http.key")
  package_url      = var.package_url
  package_sha256   = var.package_sha256
  operators        = var.operators
  certificates = {
    for name in keys(local.nodes) : name => {
      certificate = file("${local.folder}/${name}.pem")
      key         = file("${local.folder}/${name}.key")
    }
  }
}

resource "openstack_networking_secgroup_v2" "role" {
  for_each = module.fleet.rules
  name     = "rushlane-${each.key}"
}

resource "openstack_networking_secgroup_rule_v2" "rule" {
  for_each = merge([
    for role, rules in module.fleet.rules : {
      for entry in flatten([for rule in rules : [for from in rule.from : merge(rule, { from = from })]]) :
      "${role} ${entry.protocol} ${entry.port} ${entry.from}" => merge(entry, { role = role })
    }
  ]...)
  security_group_id = openstack_networking_secgroup_v2.role[each.value.role].id
  direction         = "ingress"
  ethertype         = strcontains(each.value.from, ":") ? "IPv6" : "IPv4"
  protocol          = each.value.protocol
  port_range_min    = each.value.port
  port_range_max    = each.value.port
  remote_ip_prefix  = each.value.from
  description       = each.value.why
}

resource "openstack_compute_instance_v2" "node" {
  for_each        = local.nodes
  name            = each.key
  image_name      = "debian-12"
  flavor_name     = each.value.flavor
  user_data       = module.fleet.user_data[each.key]
  security_groups = [openstack_networking_secgroup_v2.role[each.value.role].name]

  network {
    name        = var.network
    fixed_ip_v4 = each.value.address
  }
}

# A fleet as data: user data and firewall rules for each node. It names no cloud, so it needs no
# provider; examples/ joins it to one.

terraform {
  required_version = ">= 1.3"
}

locals {
  edges   = { for name, node in var.nodes : name => node if node.role == "edge" }
  origins = { for name, node in var.nodes : name => node if node.role == "origin" }

  # An edge pulls from the parents it names, else from every origin.
  parents = {
    for name, node in local.edges : name =>
    length(node.parents) > 0 ? node.parents : [for origin in values(local.origins) : "${origin.address}:4430"]
  }

  user_data = {
    for name, node in var.nodes : name => join("\n", [
      for line in split("\n", file("${path.module}/../cloud-init/${node.role}.yaml")) :
      replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(line,
        "@NAME@", name),
        "@PARENTS@", join(", ", [for parent in try(local.parents[name], []) : jsonencode(parent)])),
        "@RELAY_CA_B64@", base64encode(var.relay_ca)),
        "@NODE_CERTIFICATE_B64@", base64encode(var.certificates[name].certificate)),
        "@NODE_KEY_B64@", base64encode(var.certificates[name].key)),
        "@HTTP_CERTIFICATE_B64@", base64encode(var.http_certificate)),
        "@HTTP_KEY_B64@", base64encode(var.http_key)),
        "@PACKAGE_URL@", var.package_url),
        "@PACKAGE_SHA256@", var.package_sha256),
        "@OPERATORS@", join(", ", var.operators)),
      "@EDGES@", join(", ", [for edge in values(local.edges) : edge.address]))
    ])
  }

  world = ["0.0.0.0/0", "::/0"]
  rules = {
    origin = [
      { protocol = "tcp", port = 1935, from = local.world, why = "RTMP" },
      { protocol = "tcp", port = 1936, from = local.world, why = "RTMPS" },
      { protocol = "udp", port = 4430, from = [for edge in values(local.edges) : "${edge.address}/32"], why = "relay" },
      { protocol = "tcp", port = 22, from = [for address in var.operators : "${address}/32"], why = "SSH" },
    ]
    edge = [
      { protocol = "tcp", port = 80, from = local.world, why = "HTTP" },
      { protocol = "tcp", port = 443, from = local.world, why = "HTTPS" },
      { protocol = "udp", port = 443, from = local.world, why = "HTTP/3" },
      { protocol = "tcp", port = 22, from = [for address in var.operators : "${address}/32"], why = "SSH" },
    ]
  }
}

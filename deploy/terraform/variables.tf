variable "nodes" {
  description = "The nodes by name: role, the address that other nodes reach, and the parents of an edge as HOST:PORT (empty: all origins)."
  type = map(object({
    role    = string
    address = string
    parents = optional(list(string), [])
  }))
  validation {
    condition     = alltrue([for node in values(var.nodes) : contains(["origin", "edge"], node.role)])
    error_message = "A node's role is origin or edge."
  }
  validation {
    condition     = anytrue([for node in values(var.nodes) : node.role == "origin" || length(node.parents) > 0])
    error_message = "A fleet needs an origin, or edges that name their parents."
  }
}

variable "certificates" {
  description = "The relay's certificate and key of each node, as PEM (deploy/relay-ca.sh)."
  type        = map(object({ certificate = string, key = string }))
  sensitive   = true
}

variable "relay_ca" {
  description = "The relay's certificate authority, as PEM."
  type        = string
}

variable "http_certificate" {
  description = "The certificate chain that viewers see, as PEM."
  type        = string
}

variable "http_key" {
  description = "Its key, as PEM."
  type        = string
  sensitive   = true
}

variable "package_url" {
  description = "Where machines fetch the Debian package (make deb)."
  type        = string
}

variable "package_sha256" {
  description = "Its SHA-256; a machine installs no other package."
  type        = string
  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.package_sha256))
    error_message = "package_sha256 is 64 hexadecimal digits."
  }
}

variable "operators" {
  description = "IPv4 addresses that may reach SSH."
  type        = list(string)
  validation {
    condition     = length(var.operators) > 0
    error_message = "Without an operator's address nobody could reach the machines."
  }
}

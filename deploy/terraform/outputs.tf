output "user_data" {
  description = "cloud-init user data of each node, by name."
  value       = local.user_data
  sensitive   = true
}

output "rules" {
  description = "What each role lets in: protocol, port, addresses and why."
  value       = local.rules
}

"""What docs/security.md says, tried by somebody who means no good."""

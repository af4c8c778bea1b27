"""Tests on a real Kubernetes cluster: the image, the manifests and the controller as users run them."""

"""What the SDK and running jobs call beside Azure Resource Manager: run history, asset addresses, the v1 datastores.

Reads the same store as the control plane; a sibling of it that never calls it.
"""

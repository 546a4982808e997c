"""Measurements that need more than the product itself."""

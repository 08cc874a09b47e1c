"""Data: where the bytes come from, and digits distorted on the device."""

"""The configuration tree, shipped as a package so that it is found from any installation."""

"""The model as others call it: bundle, pyfunc, HTTP service."""

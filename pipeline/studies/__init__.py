"""The studies of `dupn study`: what each runs, cell by cell; what cells show is evaluation's."""

"""Stages between what there is to tell and who is told it, one a file; `announce.pipeline` has their order. Pure."""

"""Objectives in the files of other tools: read to what an `[[slo]]` table says, and written. Nothing but text comes in or goes out."""

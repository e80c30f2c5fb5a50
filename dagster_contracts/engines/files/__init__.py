"""Data that lies in files: tables, and sets of files as a table of their own."""

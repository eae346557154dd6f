"""The intermediate representation: one variant of a table, typed; knows no back end."""

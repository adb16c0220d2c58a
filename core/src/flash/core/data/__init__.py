"""The package that the ancestor, Lightning Flash, had its data in; here it is :mod:`flash.data`."""

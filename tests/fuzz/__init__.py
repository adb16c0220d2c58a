"""Tests on many made inputs: each gives the value of an independent reading, or an error of Flash."""

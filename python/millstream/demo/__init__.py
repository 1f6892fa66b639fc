"""The demonstration: text that the machine has comes in, served over a local socket; its top words go out."""

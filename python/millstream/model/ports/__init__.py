"""The ports that connectors implement: two ways in (`ReplayableSource`, `Receiver`), one way out (`Sink`)."""

"""The ports: abstract classes that connectors implement. Two ways in (`ReplayableSource`, `Receiver`), one out (`Sink`)."""

"""Records with schemas: bytes come in; what their Avro, Protobuf or JSON schema says goes out."""

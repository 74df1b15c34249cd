"""The served app over real HTTP: asked by a client and a signer that share no code with it."""

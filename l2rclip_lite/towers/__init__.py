"""Dual encoders: the interface, open_clip behind it, and the offline default `mini`."""

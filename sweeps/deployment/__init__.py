"""Networks for use elsewhere: by plain torch, as ONNX, by torch.export, in int8, and how fast they are."""

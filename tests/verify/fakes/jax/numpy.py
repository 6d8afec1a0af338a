from halves import KINDS, at_least

float32, float16, bfloat16 = KINDS
maximum = at_least


def matmul(a, b):
    return a @ b

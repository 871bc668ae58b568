// All kernels: the one translation unit that becomes PTX.
#include "pointwise.cu"

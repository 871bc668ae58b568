// The kernels' own sources, compiled as C++; each registers itself.
#include "../../kernels/all.cu"

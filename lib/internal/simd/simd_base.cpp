// The kernels for every processor.
#include <string.h>

#include "simd.h"
#define DSL_BYTES 16
#define DSL_ISA base
#include "simd_body.h"

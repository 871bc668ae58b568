// The kernels for every processor.
#include <string.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "simd.h"

#define DSL_BYTES 16
#define DSL_ISA base
#include "simd_body.h"

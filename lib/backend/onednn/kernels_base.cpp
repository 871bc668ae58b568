// The kernels for every processor: 8 lanes, whatever the vectors are.
#include <math.h>
#include <omp.h>
#include <string.h>

#include "kernels.h"

#pragma GCC optimize("no-math-errno") // so that square roots are vectors

#define DSL_LANES 8
#define DSL_ISA base
#include "kernels_body.h"

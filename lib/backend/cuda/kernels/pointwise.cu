// Kernels that compute each element from elements at the same place.
#include "device.h"

template <class T> DEV void add(const T *a, const T *b, T *y, i64 n) {
    for (i64 i = first_item(); i < n; i += all_threads()) y[i] = rounded<T>::from(to_float(a[i]) + to_float(b[i]));
}
KERNEL(add_f32, const float *a, const float *b, float *y, i64 n) { add(a, b, y, n); }
KERNEL(add_bf16, const bf16 *a, const bf16 *b, bf16 *y, i64 n) { add(a, b, y, n); }

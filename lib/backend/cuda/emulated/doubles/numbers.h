// Element types, as the libraries round to them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace emulated {

inline uint32_t float_bits(float v) {
    uint32_t b;
    memcpy(&b, &v, sizeof b);
    return b;
}

inline float bits_float(uint32_t b) {
    float v;
    memcpy(&v, &b, sizeof v);
    return v;
}

// Rounds a float to nearest, ties to even, keeping all but the last bits of its mantissa. What is not a number stays that.
inline float round_mantissa(float v, int dropped) {
    uint32_t b = float_bits(v);
    if ((b & 0x7F800000u) == 0x7F800000u) return v;
    const uint32_t half = 1u << (dropped - 1), mask = (1u << dropped) - 1;
    return bits_float((b + half - 1 + (b >> dropped & 1)) & ~mask);
}

inline float round_tf32(float v) { return round_mantissa(v, 13); }
inline float round_bf16(float v) { return round_mantissa(v, 16); }

inline float from_bf16(uint16_t b) { return bits_float((uint32_t)b << 16); }

inline uint16_t to_bf16(float v) {
    const uint16_t b = (uint16_t)(float_bits(round_bf16(v)) >> 16);
    return v != v ? (uint16_t)(b | 0x40) : b;
}

} // namespace emulated

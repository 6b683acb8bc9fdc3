// Raw system calls and the few string functions the child needs. No library is linked: what runs between clone and
// exec must not allocate, lock, or read a locale, and init must hold nothing of the launcher in its memory.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

namespace sandbox::sys {

// Returns the kernel's result: a negative errno on failure.
#if defined(__x86_64__)
inline long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
    long result;
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
inline long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = e;
    register long x5 asm("x5") = f;
    asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else
#error "no system call convention for this architecture"
#endif

inline long ptr(const void* p) { return reinterpret_cast<long>(p); }

inline size_t length(const char* s) {
    size_t n = 0;
    while (s[n]) ++n;
    return n;
}

inline bool equal(const char* a, const char* b) {
    while (*a && *a == *b) {
        ++a;
        ++b;
    }
    return *a == *b;
}

// Decimal digits of `n` and a NUL; returns the end.
inline char* decimal(char* out, unsigned long n) {
    char digits[24];
    int count = 0;
    do {
        digits[count++] = static_cast<char>('0' + n % 10);
        n /= 10;
    } while (n);
    while (count) *out++ = digits[--count];
    *out = 0;
    return out;
}

}  // namespace sandbox::sys

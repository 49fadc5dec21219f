// The engine's memory: zeroed pages from the system, returned to it immediately.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

namespace mcq {

// Returns null if there is no memory.
inline void* map_pages(size_t bytes) {
    void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return nullptr;
    madvise(pages, bytes, MADV_HUGEPAGE);  // fewer page faults, if the system has huge pages
    return pages;
}

// An array of plain data that grows without keeping its contents.
template <class T>
class Array {
  public:
    Array() = default;
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;
    ~Array() {
        if (data_) munmap(data_, capacity_ * sizeof(T));
    }
    // Makes room for `count` elements and drops the contents. Returns false if there is no memory.
    bool reserve(size_t count) {
        if (count <= capacity_) return true;
        if (data_) munmap(data_, capacity_ * sizeof(T));
        capacity_ = 0;
        data_ = static_cast<T*>(map_pages(count * sizeof(T)));
        if (!data_) return false;
        capacity_ = count;
        return true;
    }
    T* data() { return data_; }
    T& operator[](size_t i) { return data_[i]; }

  private:
    T* data_ = nullptr;
    size_t capacity_ = 0;
};

}  // namespace mcq

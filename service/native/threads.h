// A pool of threads. Between two jobs they spin for some microseconds and then sleep: an idle engine uses no CPU, and
// the many short jobs of a step do not wait for the kernel.
#pragma once
#include <pthread.h>
#include <stdint.h>

namespace mcq {

class Threads {
  public:
    static constexpr int MAX_THREADS = 256;
    explicit Threads(int count);  // includes the caller's thread
    ~Threads();
    Threads(const Threads&) = delete;
    int count() const { return started_ + 1; }

    // Calls work(thread) on this thread, and on others that join before it ends.
    template <class Work>
    void on_all(const Work& work) {
        run([](const void* context, int thread) { (*static_cast<const Work*>(context))(thread); }, &work);
    }

    // Calls work(index, thread) once for each index below `count`, in chunks of `grain`.
    template <class Work>
    void each(int count, int grain, const Work& work) {
        if (count <= grain) {
            for (int i = 0; i < count; i++) work(i, 0);
            return;
        }
        int next = 0;
        on_all([&](int thread) {
            for (;;) {
                int begin = __atomic_fetch_add(&next, grain, __ATOMIC_RELAXED);
                if (begin >= count) return;
                for (int i = begin; i < begin + grain && i < count; i++) work(i, thread);
            }
        });
    }

  private:
    using Job = void (*)(const void*, int);
    struct Worker {
        Threads* owner;
        pthread_t thread;
        int index;
    };
    static void* start(void* worker);
    void serve(int index);
    void run(Job job, const void* context);
    uint32_t wait_for_new_job(uint32_t last);

    // The job's number << 16 | OPEN while threads may join | the number of threads that joined and have not left.
    static constexpr uint64_t OPEN = 1 << 15, JOINED = OPEN - 1;
    Worker workers_[MAX_THREADS];
    int started_ = 0;
    Job job_ = nullptr;
    const void* context_ = nullptr;
    alignas(64) uint64_t state_ = 0;
    alignas(64) uint32_t number_ = 0;  // the newest job's number; sleepers wait on it
    uint32_t sleepers_ = 0;
    bool ending_ = false;
};

}  // namespace mcq

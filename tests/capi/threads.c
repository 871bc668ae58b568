/* Messages belong to threads; images are shared; handles come and go from many threads at once. */
#include "check.h"

#include <pthread.h>

enum { num_threads = 8, rounds = 200 };

static dsl_image *shared_image;
static pthread_barrier_t barrier;

struct result {
    int index, wrong;
};

static void *work(void *arg) {
    struct result *r = arg;
    char name[64];
    snprintf(name, sizeof name, "missing-%d.png", r->index);
    for (int i = 0; i < rounds; i++) {
        dsl_image *image = NULL;
        int32_t h = 0, w = 0;
        if (dsl_image_load_file(name, &image) != DSL_STATUS_NOT_FOUND) {
            r->wrong++;
        }
        pthread_barrier_wait(&barrier); /* all threads have failed by now, each in its own way */
        if (strstr(dsl_last_error_message(), name) == NULL) {
            r->wrong++;
        }
        if (dsl_image_size(shared_image, &h, &w) != DSL_STATUS_OK || h != 1) {
            r->wrong++;
        }
        dsl_dataset *dataset = NULL;
        if (dsl_dataset_create(&dataset) != DSL_STATUS_OK || dsl_dataset_add(dataset, shared_image, i, NULL, NULL) != DSL_STATUS_OK) {
            r->wrong++;
        }
        dsl_dataset_free(dataset);
    }
    return NULL;
}

int main(void) {
    uint8_t pixel = 0;
    dsl_array a;
    DSL_INIT(&a);
    a.data = &pixel;
    a.data_size_bytes = a.height = a.width = a.channels = 1;
    CHECK_OK(dsl_image_from_array(&a, &shared_image));
    pthread_barrier_init(&barrier, NULL, num_threads);
    pthread_t threads[num_threads];
    struct result results[num_threads];
    for (int i = 0; i < num_threads; i++) {
        results[i] = (struct result){i, 0};
        CHECK(pthread_create(&threads[i], NULL, work, &results[i]) == 0);
    }
    for (int i = 0; i < num_threads; i++) {
        pthread_join(threads[i], NULL);
        CHECK(results[i].wrong == 0);
    }
    dsl_image_free(shared_image);
    CHECK(dsl_live_handles() == 0);
    return finish();
}

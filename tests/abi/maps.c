/* Trains for two steps, so that all that libdsl loads at its first use is there, and prints the files that the process has mapped.
 * usage: maps FOLDER */
#include <dsl.h>
#include <stdio.h>
#include <string.h>

enum { side = 32, num_images = 24 };

static int fill(dsl_dataset *dataset) {
    static uint8_t pixels[side * side];
    for (int i = 0; i < num_images; i++) {
        dsl_array a;
        dsl_image *image = NULL;
        for (int p = 0; p < side * side; p++) {
            pixels[p] = (uint8_t)(i % 2 == 0 ? p + i : 255 - 7 * p - i);
        }
        DSL_INIT(&a);
        a.data = pixels;
        a.data_size_bytes = sizeof pixels;
        a.height = a.width = side;
        a.channels = 1;
        if (dsl_image_from_array(&a, &image) != DSL_STATUS_OK ||
            dsl_dataset_add(dataset, image, i % 2, i < 16 ? "train" : "val", NULL) != DSL_STATUS_OK) {
            return 0;
        }
        dsl_image_free(image);
    }
    return 1;
}

int main(int argc, char **argv) {
    char line[4096];
    dsl_dataset *dataset = NULL;
    dsl_train_options o;
    FILE *maps = fopen("/proc/self/maps", "r");
    if (argc != 2 || maps == NULL || dsl_dataset_create(&dataset) != DSL_STATUS_OK || !fill(dataset)) {
        return 2;
    }
    snprintf(line, sizeof line, "%s/maps.dsl", argv[1]);
    DSL_INIT(&o);
    o.out_path = line;
    o.stem = "small";
    o.input_size = side;
    o.embedding_dim = 16;
    o.learners = 1;
    o.steps = 2;
    o.batch_size = 8;
    o.images_per_class = 4;
    o.threads = 1;
    if (dsl_train(dataset, &o, NULL, NULL) != DSL_STATUS_OK) {
        fprintf(stderr, "%s\n", dsl_last_error_message());
        return 1;
    }
    while (fgets(line, sizeof line, maps) != NULL) {
        if (strchr(line, '/') != NULL) {
            fputs(strchr(line, '/'), stdout);
        }
    }
    dsl_dataset_free(dataset);
    return fclose(maps);
}

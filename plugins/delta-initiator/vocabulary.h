/*
 * The IRIs of jobs, tasks and errors as the services of the delta producer know them, of
 * https://github.com/lblod/delta-producer-background-jobs-initiator, version 1.0.1. All are http,
 * not https.
 */
#ifndef DELTA_VOCABULARY_H
#define DELTA_VOCABULARY_H

#define DELTA_RDF "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
#define DELTA_MU "http://mu.semte.ch/vocabularies/core/"
#define DELTA_TASK "http://redpencil.data.gift/vocabularies/tasks/"
#define DELTA_DCT "http://purl.org/dc/terms/"
#define DELTA_ADMS "http://www.w3.org/ns/adms#"
#define DELTA_OSLC "http://open-services.net/ns/core#"

#define DELTA_JOB_TYPE "http://vocab.deri.ie/cogs#Job"
#define DELTA_TASK_TYPE DELTA_TASK "Task"
#define DELTA_ERROR_TYPE DELTA_OSLC "Error"
#define DELTA_DELTA_ERROR_TYPE "http://redpencil.data.gift/vocabularies/deltas/Error"

/* Before a UUID. */
#define DELTA_JOB_PREFIX "http://redpencil.data.gift/id/job/"
#define DELTA_TASK_PREFIX "http://redpencil.data.gift/id/task/"
#define DELTA_ERROR_PREFIX "http://redpencil.data.gift/id/jobs/error/"

/* Before scheduled, busy, success, failed and canceled. */
#define DELTA_STATUS_PREFIX "http://redpencil.data.gift/id/concept/JobStatus/"

#define DELTA_CREATOR "http://lblod.data.gift/services/delta-producer-background-jobs-initiator"
#define DELTA_ERROR_SUBJECT "Delta Producer Background Jobs Initiator"

#define DELTA_JOBS_GRAPH "http://mu.semte.ch/graphs/system/jobs"
#define DELTA_TASK_OPERATIONS "http://redpencil.data.gift/id/jobs/concept/TaskOperation/deltas/"
#define DELTA_INITIAL_SYNC_TASK DELTA_TASK_OPERATIONS "initialPublicationGraphSyncing"
#define DELTA_HEALING_TASK DELTA_TASK_OPERATIONS "healing/patchPublicationGraph"
#define DELTA_DUMP_TASK DELTA_TASK_OPERATIONS "deltaDumpFileCreation"

#endif

ALTER TABLE "checkpoints" ADD COLUMN "flaw" text;--> statement-breakpoint
ALTER TABLE "checkpoints" ADD COLUMN "settled_at" bigint;
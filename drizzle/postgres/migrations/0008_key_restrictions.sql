ALTER TABLE "api_keys" ADD COLUMN "networks" text;--> statement-breakpoint
ALTER TABLE "api_keys" ADD COLUMN "rotated_until" bigint;